import { defineConfig } from "vite";

export default defineConfig({
  // The bundled model becomes /fable/…
  publicDir: "node_modules/edgeformer/models",
  worker: { format: "es" },
  // Pre-bundling would move the package away from the engine beside it.
  optimizeDeps: { exclude: ["edgeformer"] },
});
