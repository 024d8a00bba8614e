import { defineConfig } from "vitest/config";

// `npm test` runs the quick tier, everything outside tests/slow; `npx vitest run --project slow` the other one.
const slow = process.argv.some((argument, i) =>
  argument === "--project" ? process.argv[i + 1] === "slow" : argument === "--project=slow",
);

export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: "unit",
          include: ["tests/**/*.test.ts"],
          exclude: ["tests/slow/**"],
          testTimeout: 60_000,
          hookTimeout: 120_000,
        },
      },
      ...(slow
        ? [
            {
              test: {
                name: "slow",
                include: ["tests/slow/**/*.test.ts"],
                testTimeout: 600_000,
                hookTimeout: 600_000,
              },
            },
          ]
        : []),
    ],
  },
});
