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
const COLOURS = [
  "#c2410c",
  "#0969da",
  "#1a7f37",
  "#8250df",
  "#bf8700",
  "#0e7490",
  "#cf222e",
  "#6e7781",
  "#bf3989",
];
const OWN = COLOURS[0]!;
const OTHER = "#8c959f";
/** Pixels of a line of text, and of a bold letter. */
const LINE = 16;
const LETTER = 7.9;
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

export interface Stack {
  label: string;
  /** One value for each of the chart's parts. */
  values: number[];
}

/** Horizontal bars that are made of parts, and below them what each colour is. */
export function stackedChart(title: string, unit: string, parts: string[], stacks: Stack[]): string {
  const [left, barWidth, row, top] = [130, 500, 34, 44];
  const sum = (values: number[]) => values.reduce((all, value) => all + value, 0);
  const scale = barWidth / Math.max(...stacks.map(({ values }) => sum(values)));
  const content = stacks.flatMap(({ label, values }, i) => {
    const y = top + i * row;
    let x = left;
    const bars = values.map((value, part) => {
      const width = value * scale;
      const bar = `<rect x="${x.toFixed(1)}" y="${y}" width="${width.toFixed(1)}" height="22" fill="${COLOURS[part]}"/>`;
      x += width;
      return bar;
    });
    return [
      text(left - 8, y + 16, label, 'text-anchor="end"'),
      ...bars,
      text(Math.round(x) + 6, y + 16, `${short(sum(values))} ${unit}`),
    ];
  });
  const [columns, columnWidth, line] = [3, 230, 22];
  const legend = top + stacks.length * row + 14;
  parts.forEach((part, i) => {
    const [x, y] = [20 + (i % columns) * columnWidth, legend + Math.floor(i / columns) * line];
    content.push(
      `<rect x="${x}" y="${y}" width="12" height="12" fill="${COLOURS[i]}"/>`,
      text(x + 18, y + 11, part),
    );
  });
  const height = legend + Math.ceil(parts.length / columns) * line + 6;
  return document(left + barWidth + 90, height, title, content);
}

/** Heights moved down, in their order, so far that two labels do not cover each other. */
function apart(heights: number[]): number[] {
  const moved = [...heights];
  let least = Number.NEGATIVE_INFINITY;
  for (const i of heights.map((_, i) => i).sort((a, b) => heights[a]! - heights[b]!)) {
    moved[i] = Math.max(heights[i]!, least);
    least = moved[i]! + LINE;
  }
  return moved;
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
  const labelHeights = apart(series.map(({ values }) => Math.round(y(values.at(-1)!))));
  series.forEach(({ label, values }, s) => {
    const colour = COLOURS[s % COLOURS.length];
    const points = values.map((value, i) => `${x(i).toFixed(1)},${y(value).toFixed(1)}`);
    content.push(`<polyline points="${points.join(" ")}" fill="none" stroke="${colour}" stroke-width="2"/>`);
    for (const point of points) {
      const [cx, cy] = point.split(",");
      content.push(`<circle cx="${cx}" cy="${cy}" r="3.5" fill="${colour}"/>`);
    }
    content.push(
      text(left + plotWidth + 6, labelHeights[s]! + 4, label, `style="fill:${colour}" font-weight="600"`),
    );
  });
  // The labels are bold, and stand a little off the plot.
  const labelWidth = 6 + Math.max(14, ...series.map(({ label }) => label.length)) * LETTER * 1.1;
  return document(left + plotWidth + Math.round(labelWidth), top + plotHeight + 56, title, content);
}
