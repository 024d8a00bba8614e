// Plots as plain SVG: enough for bars and lines, readable on light and dark pages.

export interface Bar {
  label: string;
  value: number;
  /** Drawn in the project's colour. */
  own?: boolean;
}

export interface Series {
  label: string;
  /** One value for each of the plot's x labels. */
  values: number[];
}

const INK = "#57606a";
const GRID = "#8c959f55";
const COLOURS = ["#c2410c", "#0969da", "#1a7f37", "#8250df"];
const OWN = COLOURS[0]!;
const OTHER = "#8c959f";
const FONT = 'font-family="system-ui, sans-serif" font-size="13"';

function escapeXml(text: string): string {
  return text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
}

function text(x: number, y: number, content: string, attributes = ""): string {
  return `<text x="${x}" y="${y}" fill="${INK}" ${FONT} ${attributes}>${escapeXml(content)}</text>`;
}

function document(width: number, height: number, title: string, content: string[]): string {
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-label="${escapeXml(title)}">`,
    text(12, 22, title, 'font-weight="600"'),
    ...content,
    "</svg>\n",
  ].join("\n");
}

/** Three significant digits, without an exponent. */
export function short(value: number): string {
  return value >= 100 ? value.toFixed(0) : Number(value.toPrecision(3)).toString();
}

/** A round number at or above `value`. */
function ceiling(value: number): number {
  const unit = 10 ** Math.floor(Math.log10(value));
  const step = [1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10].find((factor) => factor * unit >= value)!;
  return step * unit;
}

/** Horizontal bars, one below the other, with an upper limit drawn as a dashed line where there is one. */
export function barChart(title: string, bars: Bar[], limit?: { label: string; value: number }): string {
  const [barWidth, row, top] = [430, 30, 52];
  // A character is some seven pixels wide.
  const left = Math.max(150, 20 + 7 * Math.max(...bars.map(({ label }) => label.length)));
  const largest = Math.max(limit?.value ?? 0, ...bars.map(({ value }) => value));
  const x = (value: number) => left + (value / largest) * barWidth;
  const content = bars.flatMap(({ label, value, own }, i) => {
    const y = top + i * row;
    return [
      text(left - 8, y + 15, label, 'text-anchor="end"'),
      `<rect x="${left}" y="${y}" width="${(x(value) - left).toFixed(1)}" height="20" rx="2" fill="${own ? OWN : OTHER}"/>`,
      text(Math.round(x(value)) + 6, y + 15, short(value)),
    ];
  });
  const bottom = top + bars.length * row;
  if (limit !== undefined)
    content.push(
      `<line x1="${x(limit.value)}" x2="${x(limit.value)}" y1="${top - 6}" y2="${bottom}" stroke="${INK}" stroke-dasharray="4 3"/>`,
      text(x(limit.value), top - 12, `${limit.label} ${short(limit.value)}`, 'text-anchor="end"'),
    );
  return document(left + barWidth + 70, bottom + 12, title, content);
}

/** Lines over evenly spaced x labels, y from zero. */
export function lineChart(title: string, xLabel: string, xs: string[], series: Series[]): string {
  const [left, top, plotWidth, plotHeight] = [64, 44, 460, 220];
  const largest = ceiling(Math.max(...series.flatMap(({ values }) => values)));
  const x = (i: number) => left + 20 + (i / Math.max(1, xs.length - 1)) * (plotWidth - 40);
  const y = (value: number) => top + plotHeight - (value / largest) * plotHeight;
  const content: string[] = [];
  for (let i = 0; i <= 4; i++) {
    const value = (largest * i) / 4;
    content.push(
      `<line x1="${left}" x2="${left + plotWidth}" y1="${y(value)}" y2="${y(value)}" stroke="${GRID}"/>`,
      text(left - 8, y(value) + 4, short(value), 'text-anchor="end"'),
    );
  }
  xs.forEach((label, i) => {
    content.push(text(x(i), top + plotHeight + 20, label, 'text-anchor="middle"'));
  });
  content.push(text(left + plotWidth / 2, top + plotHeight + 42, xLabel, 'text-anchor="middle"'));
  series.forEach(({ label, values }, s) => {
    const colour = COLOURS[s % COLOURS.length];
    const points = values.map((value, i) => `${x(i).toFixed(1)},${y(value).toFixed(1)}`);
    content.push(`<polyline points="${points.join(" ")}" fill="none" stroke="${colour}" stroke-width="2"/>`);
    for (const point of points) {
      const [cx, cy] = point.split(",");
      content.push(`<circle cx="${cx}" cy="${cy}" r="3.5" fill="${colour}"/>`);
    }
    const last = y(values.at(-1)!);
    content.push(
      text(left + plotWidth + 6, Math.round(last) + 4, label, `style="fill:${colour}" font-weight="600"`),
    );
  });
  return document(left + plotWidth + 110, top + plotHeight + 56, title, content);
}
