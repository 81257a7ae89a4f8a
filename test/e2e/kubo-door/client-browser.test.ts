/** Pages in a browser: the one on the port of the door may do what the WebUI does, the one of another origin may not. As at Kubo's own port. */
import assert from 'node:assert/strict'
import { createServer, type Server } from 'node:http'
import { after, before, describe, test } from 'node:test'
import { findChromium, TestPage } from '../../support/chromium.ts'
import { neutral, startTwins, type Twins } from './twins.ts'

const chromium = findChromium()
if (chromium === undefined) {
  console.warn('SKIPPED: no Chromium is installed')
  // A suite that is skipped counts as none.
  test('a browser cannot tell the door from Kubo', { skip: 'no Chromium is installed' }, () => {})
}

describe('a browser cannot tell the door from Kubo', { skip: chromium === undefined ? 'no Chromium is installed' : false }, () => {
  let twins: Twins
  let page: TestPage
  let foreign: Server
  before(async () => {
    twins = await startTwins()
    page = await TestPage.open(chromium ?? '')
    foreign = createServer((_, answer) => answer.setHeader('content-type', 'text/html').end('<title>another page</title>'))
    await new Promise<void>(resolve => foreign.listen(0, '127.0.0.1', resolve))
  })
  after(async () => {
    await page?.[Symbol.asyncDispose]()
    foreign?.close()
    await twins?.[Symbol.asyncDispose]()
  })

  /** What each call came to: status, readable headers and text, or that the browser kept it from the page. */
  async function outcomes(
    origin: string,
    port: number,
    calls: readonly (readonly [path: string, init: string])[]
  ): Promise<readonly string[]> {
    await page.goTo(origin)
    const results: string[] = []
    for (const [path, init] of calls) {
      const script = `fetch('http://127.0.0.1:${port}${path}', ${init}).then(
        async answer => [answer.status, answer.headers.get('x-chunked-output'), answer.type, await answer.text()].join(' '),
        error => 'kept from the page: ' + error.name)`
      results.push(neutral(await page.evaluate<string>(script), twins))
    }
    return results
  }

  const upload = `{ method: 'POST', body: (() => { const form = new FormData(); form.append('file', new Blob(['from a page'])); return form })() }`
  const calls = () => {
    const { small, large } = twins.content
    return [
      ['/api/v0/id', `{ method: 'POST' }`],
      ['/api/v0/version', `{ method: 'GET' }`],
      [`/api/v0/pin/add?arg=${small}`, `{ method: 'POST' }`],
      [`/api/v0/pin/ls?arg=${small}`, `{ method: 'POST' }`],
      ['/api/v0/pin/ls?type=recursive&stream=true', `{ method: 'POST' }`],
      ['/api/v0/add', upload],
      ['/api/v0/add?pin=false&progress=true', upload],
      [`/api/v0/cat?arg=${large}&length=20`, `{ method: 'POST' }`],
      [`/api/v0/pin/rm?arg=${small}`, `{ method: 'POST' }`],
      ['/api/v0/repo/stat', `{ method: 'POST', headers: { 'content-type': 'application/json' } }`],
      ['/api/v0/id', `{ method: 'POST', headers: { authorization: 'Bearer x' } }`],
      ['/api/v0/files/ls', `{ method: 'POST', mode: 'no-cors' }`]
    ] as const
  }

  test('a page on its own port does what the WebUI does', async () => {
    const at = (port: number) => outcomes(`http://127.0.0.1:${port}/version`, port, calls())
    const direct = await at(twins.plain.rpc)
    assert.match(direct[0] ?? '', /^200 .*"ID"/)
    assert.match(direct[5] ?? '', /^200 .*"Hash"/)
    assert.deepEqual(await at(twins.daemon.port), direct)
  })

  test('a page at localhost on its own port is of another origin to the browser, and allowed by Kubo', async () => {
    const at = (port: number) => outcomes(`http://localhost:${port}/version`, port, calls())
    const direct = await at(twins.plain.rpc)
    assert.match(direct[0] ?? '', /^200 .*"ID"/)
    assert.deepEqual(await at(twins.daemon.port), direct)
  })

  test('a page of another origin reads nothing and pins nothing', async () => {
    const { port } = foreign.address() as { port: number }
    const at = (asked: number) => outcomes(`http://127.0.0.1:${port}/`, asked, calls())
    const direct = await at(twins.plain.rpc)
    assert.match(direct[0] ?? '', /kept from the page/)
    assert.deepEqual(await at(twins.daemon.port), direct)
    const { text } = await twins.behind.call(`pin/ls?arg=${twins.content.small}`)
    assert.match(text, /is not pinned/)
  })

  test('a form and an image of another page pin nothing', async () => {
    const { port } = foreign.address() as { port: number }
    const { blocks } = twins.content
    await page.goTo(`http://127.0.0.1:${port}/`)
    const door = `http://127.0.0.1:${twins.daemon.port}/api/v0/pin/add?arg=`
    await page.evaluate(`new Promise(resolve => { const image = new Image(); image.onerror = resolve; image.src = '${door}${blocks[0]}' })`)
    await page.evaluate(`new Promise(resolve => {
      const frame = document.createElement('iframe'); frame.name = 'answer'; document.body.append(frame)
      const form = document.createElement('form'); form.method = 'POST'; form.enctype = 'multipart/form-data'; form.action = '${door}${blocks[1]}'
      form.target = 'answer'; document.body.append(form); frame.onload = resolve; form.submit() })`)
    for (const block of blocks.slice(0, 2)) assert.match((await twins.behind.call(`pin/ls?arg=${block}`)).text, /is not pinned/)
  })
})
