/** Small charts over the number of pins as one SVG, beside each other. Readable on light and dark pages: colours follow what the reader prefers. */

export interface Series {
  readonly title: string
  /** Of the axis upwards, with its unit. */
  readonly axis: string
  /** One for each size, in their order. */
  readonly values: readonly number[]
  /** What is asked for, as a dashed line. */
  readonly bar?: number
}

const [width, height] = [460, 290]
const inner = { left: 72, right: 28, top: 44, bottom: 56 }
const columns = 2

const style = `
  text { font: 13px system-ui, sans-serif; fill: #24292f }
  .title { font-weight: 600; font-size: 15px }
  .faint { fill: #57606a }
  .paper { fill: #ffffff } .grid { stroke: #d8dee4 } .axis { stroke: #57606a }
  .line { stroke: #0969da; stroke-width: 2; fill: none } .dot { fill: #0969da } .bar { stroke: #bc4c00; stroke-dasharray: 6 4 } .word { fill: #bc4c00 }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 } .faint { fill: #9198a1 } .paper { fill: #0d1117 } .grid { stroke: #2f353d } .axis { stroke: #9198a1 }
    .line { stroke: #4493f8 } .dot { fill: #4493f8 } .bar { stroke: #f0883e } .word { fill: #f0883e }
  }`

/** @param sizes ascending; the axis along is logarithmic, those upwards begin at 0 */
export function plot(sizes: readonly number[], charts: readonly Series[]): string {
  const rows = Math.ceil(charts.length / columns)
  const parts = charts.map((chart, place) => {
    const [x, y] = [(place % columns) * width, Math.floor(place / columns) * height]
    return `<g transform="translate(${x} ${y})">${drawn(sizes, chart)}</g>`
  })
  const size = `width="${columns * width}" height="${rows * height}" viewBox="0 0 ${columns * width} ${rows * height}"`
  return `<svg xmlns="http://www.w3.org/2000/svg" ${size} role="img">
<title>${charts.map(({ title }) => escaped(title)).join(', ')} over the number of pins</title>
<style>${style}
</style>
<rect class="paper" width="100%" height="100%"/>
${parts.join('\n')}
</svg>
`
}

function drawn(sizes: readonly number[], { title, axis, values, bar }: Series): string {
  const [right, bottom] = [width - inner.right, height - inner.bottom]
  const step = stepFor(Math.max(...values, bar ?? 0))
  const top = step * Math.ceil((1.08 * Math.max(...values, bar ?? 0)) / step)
  const first = Math.log10(sizes[0] ?? 1)
  const span = Math.max(1e-9, Math.log10(sizes.at(-1) ?? 10) - first)
  // Room on both sides, so that no figure stands on the axis.
  const xOf = (size: number) => round(inner.left + 28 + ((Math.log10(size) - first) / span) * (right - inner.left - 56))
  const yOf = (value: number) => round(bottom - (value / top) * (bottom - inner.top))
  const ticks = Array.from({ length: Math.round(top / step) + 1 }, (_, number) => number * step)
  const points = values.map((value, place) => ({ value, x: xOf(sizes[place] ?? 1), y: yOf(value) }))
  return [
    text(inner.left, 22, title, { kind: 'title' }),
    ...ticks.flatMap(tick => [
      line([inner.left, yOf(tick)], [right, yOf(tick)], tick === 0 ? 'axis' : 'grid'),
      text(inner.left - 8, yOf(tick) + 4, shown(tick), { kind: 'faint', anchor: 'end' })
    ]),
    ...sizes.flatMap(size => [
      line([xOf(size), bottom], [xOf(size), bottom + 5], 'axis'),
      text(xOf(size), bottom + 20, counted(size), { kind: 'faint', anchor: 'middle' })
    ]),
    text((inner.left + right) / 2, height - 14, 'pins (logarithmic)', { kind: 'faint', anchor: 'middle' }),
    `<g transform="translate(18 ${(inner.top + bottom) / 2}) rotate(-90)">${text(0, 0, axis, { kind: 'faint', anchor: 'middle' })}</g>`,
    ...(bar === undefined
      ? []
      : [
          line([inner.left, yOf(bar)], [right, yOf(bar)], 'bar'),
          text(inner.left + 6, yOf(bar) - 6, `asked: ${shown(bar)}`, { kind: 'word' })
        ]),
    `<polyline class="line" points="${points.map(({ x, y }) => `${x},${y}`).join(' ')}"/>`,
    ...points.flatMap(({ value, x, y }) => [
      `<circle class="dot" cx="${x}" cy="${y}" r="4"/>`,
      text(x, y - 10 < inner.top ? y + 20 : y - 10, shown(value), { anchor: 'middle' })
    ])
  ].join('\n')
}

function line([x1, y1]: readonly [number, number], [x2, y2]: readonly [number, number], kind: string): string {
  return `<line class="${kind}" x1="${x1}" y1="${y1}" x2="${x2}" y2="${y2}"/>`
}

function text(x: number, y: number, words: string, { kind = '', anchor = 'start' }: { kind?: string; anchor?: string } = {}): string {
  return `<text${kind && ` class="${kind}"`} x="${x}" y="${y}" text-anchor="${anchor}">${escaped(words)}</text>`
}

/** A round number, of which four to eight make the axis. */
function stepFor(most: number): number {
  const magnitude = 10 ** Math.floor(Math.log10(most / 4))
  return magnitude * ([1, 2, 5].findLast(factor => factor * magnitude <= most / 4) ?? 1)
}

function counted(size: number): string {
  return size >= 1e6 ? `${size / 1e6} M` : size >= 1e3 ? `${size / 1e3} k` : String(size)
}

function shown(value: number): string {
  return value >= 100 ? Math.round(value).toLocaleString('en') : String(Number(value.toPrecision(2)))
}

function round(value: number): number {
  return Math.round(10 * value) / 10
}

function escaped(words: string): string {
  return words.replaceAll('&', '&amp;').replaceAll('<', '&lt;')
}
