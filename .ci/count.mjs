// Sums vitest's JSON reports: `node .ci/count.mjs DIRECTORY SUITE=EXIT_CODE…`. Exits 1 if anything failed.
import { readFile } from "node:fs/promises";

const [directory, ...suites] = process.argv.slice(2);
let passed = 0;
let failed = 0;
for (const suite of suites) {
  const [name, code] = suite.split("=");
  const report = await readFile(`${directory}/${name}.json`, "utf8")
    .then(JSON.parse)
    .catch(() => ({ numPassedTests: 0, numFailedTests: 0, numPendingTests: 0 }));
  // A check before the tests, or a file that does not load, fails without a failed test.
  const suiteFailed = report.numFailedTests || Number(code !== "0");
  const skipped = report.numPendingTests > 0 ? `, ${report.numPendingTests} skipped` : "";
  console.log(`${name}: ${report.numPassedTests} passed, ${suiteFailed} failed${skipped}`);
  passed += report.numPassedTests;
  failed += suiteFailed;
}
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
