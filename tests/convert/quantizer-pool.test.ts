import { afterAll, expect, test } from "vitest";
import { Quantizer } from "../../src/convert/quantize/quantizer.ts";
import { QuantizerPool } from "../../src/convert/quantize/quantizer-pool.ts";
import { gaussian } from "../reference/random.ts";

const quantizer = await Quantizer.create();
const pool = new QuantizerPool(3);
afterAll(() => pool.close());

const COLUMNS = 48;
const ROWS = 70;
const x = gaussian(53 * COLUMNS, 1);
const drifted = gaussian(53 * COLUMNS, 2);
const weights = gaussian(ROWS * COLUMNS, 3);

test("three threads give the bits that one gives", async () => {
  expect(await pool.product(x, weights, COLUMNS)).toEqual(quantizer.product(x, weights, COLUMNS));
  const moments = quantizer.moments(drifted, drifted, COLUMNS);
  expect(await pool.moments(drifted, drifted, COLUMNS)).toEqual(moments);
  const drift = quantizer.moments(x, drifted, COLUMNS);
  expect(await pool.moments(x, drifted, COLUMNS)).toEqual(drift);
  const factor = quantizer.factor(moments, COLUMNS, 0.1);
  expect(await pool.factor(moments, COLUMNS, 0.1)).toEqual(factor);
  const options = { factor, drift };
  expect(await pool.quantizeFourBit(weights, ROWS, COLUMNS, options)).toEqual(
    quantizer.quantizeFourBit(weights, ROWS, COLUMNS, options),
  );
});

test("what fails in a thread fails for the caller, and the thread goes on", async () => {
  const indefinite = new Float32Array(COLUMNS * COLUMNS).fill(-1);
  await expect(pool.factor(indefinite, COLUMNS, 0)).rejects.toThrow("not positive definite");
  expect((await pool.product(x, weights, COLUMNS)).length).toBe(53 * ROWS);
});
