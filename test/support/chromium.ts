/** A page in a real browser: what a script on some origin can do. */
import { spawnSync } from 'node:child_process'
import { type Browser, chromium, type Page } from 'playwright-core'

/** The program, where one is installed. */
export function findChromium(): string | undefined {
  for (const name of ['chromium', 'chromium-browser', 'google-chrome']) {
    const { status, stdout } = spawnSync('sh', ['-c', `command -v ${name}`], { encoding: 'utf8' })
    if (status === 0) return stdout.trim()
  }
  return undefined
}

export class TestPage implements AsyncDisposable {
  readonly #browser: Browser
  readonly #page: Page

  private constructor(browser: Browser, page: Page) {
    this.#browser = browser
    this.#page = page
  }

  static async open(program: string): Promise<TestPage> {
    // Without a sandbox, as it may be run by root in a container.
    const browser = await chromium.launch({ executablePath: program, args: ['--no-sandbox', '--disable-dev-shm-usage'] })
    return new TestPage(browser, await browser.newPage())
  }

  async goTo(url: string): Promise<void> {
    await this.#page.goto(url)
  }

  /** @returns what the expression, or the promise that it is, comes to @throws Error with what the page says */
  evaluate<T>(expression: string): Promise<T> {
    return this.#page.evaluate<T>(expression)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#browser.close()
  }
}
