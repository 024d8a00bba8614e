import { defineConfig } from "vitest/config";

/** What needs more than Node and a few minutes has a project of its own; see the `test:…` scripts. */
const APART = ["slow", "real", "browser", "runtimes"];

export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: "unit",
          include: ["tests/**/*.test.ts"],
          exclude: APART.map((folder) => `tests/${folder}/**`),
          testTimeout: 60_000,
          hookTimeout: 120_000,
        },
      },
      ...APART.map((name) => ({
        test: {
          name,
          include: [`tests/${name}/**/*.test.ts`],
          exclude: ["**/node_modules/**"],
          ...(name === "runtimes" && { globalSetup: "tests/runtimes/setup.ts" }),
          testTimeout: 600_000,
          hookTimeout: 600_000,
        },
      })),
    ],
  },
});
