/**
 * Where a text stops being JSON. The parser of the engine tells it for some mistakes only, and quotes what stands around the place, which in a
 * configuration may be a password.
 */
export interface TextPlace {
  /** From 1. */
  readonly line: number
  readonly column: number
}

const tokens =
  /[ \t\n\r]*(?:([{}[\],:])|("(?:[^"\\\p{Cc}]|\\(?:["\\/bfnrt]|u[\da-fA-F]{4}))*"|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?(?![\w.])|(?:true|false|null)(?!\w)))/uy

/** @returns `undefined` where the text is JSON */
export function brokenPlace(text: string): TextPlace | undefined {
  const open: ('{' | '[')[] = []
  let expects: 'value' | 'value or ]' | 'name' | 'name or }' | ':' | ', or end' = 'value'
  tokens.lastIndex = 0
  for (let at = 0; ; at = tokens.lastIndex) {
    if (open.length === 0 && expects === ', or end') return text.slice(at).trim() === '' ? undefined : placeOf(text, at)
    const [, sign, scalar = ''] = tokens.exec(text) ?? []
    if (sign === undefined && scalar === '') return placeOf(text, at)
    const inside = open.at(-1)
    const isValueWanted = expects === 'value' || expects === 'value or ]'
    if (expects.startsWith('name') && scalar.startsWith('"')) expects = ':'
    else if (isValueWanted && scalar !== '') expects = ', or end'
    else if (isValueWanted && sign === '{') {
      open.push('{')
      expects = 'name or }'
    } else if (isValueWanted && sign === '[') {
      open.push('[')
      expects = 'value or ]'
    } else if (expects === ':' && sign === ':') expects = 'value'
    else if (expects === ', or end' && sign === ',') expects = inside === '{' ? 'name' : 'value'
    else if ((sign === '}' && inside === '{' && /end|}/.test(expects)) || (sign === ']' && inside === '[' && /end|]/.test(expects))) {
      open.pop()
      expects = ', or end'
    } else return placeOf(text, at)
  }
}

function placeOf(text: string, at: number): TextPlace {
  // White space in front of the mistake belongs to the lines before it, but behind the last sign there is only the end.
  const rest = text.slice(at)
  const before = text.slice(0, rest.trim() === '' ? text.trimEnd().length : at + rest.length - rest.trimStart().length)
  const lines = before.split('\n')
  return { line: lines.length, column: (lines.at(-1) ?? '').length + 1 }
}
