/** The package as npm installs it: compiled, without the sources, in a folder of its own. */
import { execFile } from 'node:child_process'
import { copyFile, mkdir, mkdtemp, readFile, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { promisify } from 'node:util'

const root = resolve(import.meta.dirname, '../..')

export interface Manifest {
  readonly version: string
  readonly files: readonly string[]
  readonly bin: { readonly flotilla: string }
  readonly exports: { readonly '.': Readonly<Record<string, string>> }
}

export interface InstalledPackage extends AsyncDisposable {
  readonly folder: string
  readonly manifest: Manifest
  /** The program that `flotilla` starts. */
  readonly program: string
}

export async function installPackage(): Promise<InstalledPackage> {
  const folder = await mkdtemp(join(tmpdir(), 'flotilla-package-'))
  const remove = () => rm(folder, { recursive: true, force: true })
  try {
    const compiler = join(root, 'node_modules/.bin/tsc')
    await promisify(execFile)(compiler, ['-p', join(root, 'tsconfig.build.json'), '--outDir', join(folder, 'dist')])
    const manifest: Manifest = JSON.parse(await readFile(join(root, 'package.json'), 'utf8'))
    for (const file of [manifest.bin.flotilla, 'package.json']) {
      await mkdir(dirname(join(folder, file)), { recursive: true })
      await copyFile(join(root, file), join(folder, file))
    }
    await symlink(join(root, 'node_modules'), join(folder, 'node_modules'))
    return { folder, manifest, program: join(folder, manifest.bin.flotilla), [Symbol.asyncDispose]: remove }
  } catch (error) {
    await remove()
    throw error
  }
}
