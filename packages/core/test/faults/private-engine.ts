import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync } from 'node:fs'
import { mkdir, mkdtemp, open, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { text } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import Docker from 'dockerode'
import { expect } from 'vitest'

/** A folder of unpacked packages with `dockerd`, in front of the PATH. @default where `npm test` unpacks them */
const ROOT =
  process.env.TENANTBOX_DOCKERD_PATH ?? fileURLToPath(new URL('../../../../.cache/engine', import.meta.url))

const PATH = [...['usr/sbin', 'usr/bin'].map((folder) => join(ROOT, folder)), process.env.PATH].join(':')
const LIBRARIES = ['x86_64', 'aarch64'].map((machine) => join(ROOT, `usr/lib/${machine}-linux-gnu`)).join(':')

/** Between two looks whether something is over. */
const PAUSE_MS = 20
const REMOVALS = 200
const CGROUPS = '/sys/fs/cgroup'

const NAMESPACES = ['--mount', '--pid', '--net']

/** What runs first in fresh namespaces: an engine also writes to fixed places, so these get a layer of their own. */
const ENTER = `
  set -e
  folder=$1 init=$2
  mount -t tmpfs tmpfs "$folder/layers"
  for place in etc opt; do
    mkdir "$folder/layers/$place" "$folder/layers/$place.work"
    mount -t overlay overlay /$place \\
      -o "lowerdir=/$place,upperdir=$folder/layers/$place,workdir=$folder/layers/$place.work"
  done
  mount -t tmpfs -o mode=755 tmpfs /run
  echo entered
  exec "$init" -- sleep 1000000
`

/** Why there can be no engine of a test's own here; undefined where there can. */
export function whyNoPrivateEngine(): string | undefined {
  if (process.platform !== 'linux' || process.getuid?.() !== 0)
    return 'only root on Linux can start an engine'
  const missing = ['dockerd', 'containerd', 'runc', 'unshare', 'nsenter', 'setpriv'].filter(
    (program) => !find(program),
  )
  if (missing.length > 0) return `${missing.join(', ')} missing on the PATH and in TENANTBOX_DOCKERD_PATH`
  return init() ? undefined : 'docker-init and tini-static missing'
}

function find(program: string): string | undefined {
  return PATH.split(':')
    .map((folder) => join(folder, program))
    .find((file) => existsSync(file))
}

const init = (): string | undefined => find('docker-init') ?? find('tini-static')

/**
 * A Docker engine whose daemon can be killed and started again while its containers live on. All of it is in namespaces
 * of its own: when their first process ends, the kernel ends everything in them.
 */
export class PrivateEngine {
  readonly client: Docker
  readonly socketPath: string
  readonly #folder: string
  readonly #dataRoot: string
  readonly #first: ChildProcess
  #daemon: ChildProcess | undefined

  private constructor(folder: string, dataRoot: string) {
    this.#folder = folder
    this.#dataRoot = dataRoot
    this.socketPath = join(folder, 'docker.sock')
    this.client = new Docker({ socketPath: this.socketPath })
    // Should this process be killed, so is `unshare`, and the first process inside with that.
    const outside = [
      '--pdeathsig',
      'KILL',
      'unshare',
      '--fork',
      '--kill-child',
      ...NAMESPACES,
      '--mount-proc',
    ]
    this.#first = spawn('setpriv', [...outside, 'sh', '-c', ENTER, 'sh', folder, init() ?? ''], {
      stdio: ['ignore', 'pipe', 'pipe'],
    })
  }

  /** @param dataRoot where its images and containers are. @default a folder that is deleted with it */
  static async open(dataRoot?: string): Promise<PrivateEngine> {
    const folder = await mkdtemp(join(tmpdir(), 'tenantbox-dockerd-'))
    for (const name of ['layers', 'data', 'exec']) await mkdir(join(folder, name))
    await writeFile(join(folder, 'daemon.json'), '{}')
    const engine = new PrivateEngine(folder, dataRoot ?? join(folder, 'data'))
    try {
      await engine.#entered()
      await engine.start()
      return engine
    } catch (error) {
      await engine.#destroy()
      throw error
    }
  }

  async #entered(): Promise<void> {
    const { stdout, stderr } = this.#first
    if (!stdout || !stderr) throw new Error('no output')
    const failed = text(stderr).then((trouble) => {
      throw new Error(`No namespaces of its own for an engine: ${trouble}`)
    })
    // Later it has nothing to say of interest.
    failed.catch(() => undefined)
    await Promise.race([once(stdout, 'data'), failed])
  }

  /** Starts the daemon. Resolves once it answers. */
  async start({ liveRestore = false } = {}): Promise<void> {
    await rm(join(this.#folder, 'docker.pid'), { force: true })
    const [inside] = await children(this.#first)
    const log = await open(join(this.#folder, 'log'), 'a')
    const command = ['dockerd', ...this.#commandLine(), ...(liveRestore ? ['--live-restore'] : [])]
    const daemon = spawn('nsenter', ['--target', String(inside), ...NAMESPACES, ...command], {
      env: { ...process.env, PATH, LD_LIBRARY_PATH: LIBRARIES },
      stdio: ['ignore', log.fd, log.fd],
    })
    this.#daemon = daemon
    await log.close()
    while (!(await this.client.ping().catch(() => undefined))) {
      if (hasEnded(daemon)) throw new Error(`dockerd ended: ${await this.#log()}`)
      await sleep(PAUSE_MS)
    }
  }

  /** `kill -9` to the daemon alone. */
  async kill(): Promise<void> {
    if (!this.#daemon || hasEnded(this.#daemon)) return
    const gone = once(this.#daemon, 'exit')
    for (const pid of await this.#daemonPids()) process.kill(pid, 'SIGKILL')
    await gone
  }

  /** Stops the daemon where it stands: it takes connections, and never answers, before it is thawed. */
  async freeze(): Promise<void> {
    for (const pid of await this.#daemonPids()) process.kill(pid, 'SIGSTOP')
  }

  async thaw(): Promise<void> {
    for (const pid of await this.#daemonPids()) process.kill(pid, 'SIGCONT')
    // `nsenter` stops along with what it has started.
    this.#daemon?.kill('SIGCONT')
  }

  async #daemonPids(): Promise<number[]> {
    return this.#daemon && !hasEnded(this.#daemon) ? children(this.#daemon) : []
  }

  /** Ends it with all that runs in it, and removes every trace. Before that, nothing may be left in it but images. */
  async close(): Promise<void> {
    try {
      if (this.#daemon && !hasEnded(this.#daemon)) {
        const left = await this.client.listContainers({ all: true })
        expect(left.flatMap(({ Names }) => Names)).toEqual([])
      }
    } finally {
      await this.#destroy()
    }
  }

  async #destroy(): Promise<void> {
    this.#daemon?.kill('SIGKILL')
    thawCgroups(basename(this.#folder))
    if (!hasEnded(this.#first)) {
      const gone = once(this.#first, 'exit')
      for (const pid of await children(this.#first)) process.kill(pid, 'SIGKILL')
      await gone
    }
    await removeCgroups(basename(this.#folder))
    await rm(this.#folder, { recursive: true })
  }

  #commandLine(): string[] {
    const folder = this.#folder
    return [
      ...['--host', `unix://${this.socketPath}`, '--pidfile', join(folder, 'docker.pid')],
      ...[
        '--data-root',
        this.#dataRoot,
        '--exec-root',
        join(folder, 'exec'),
        '--config-file',
        join(folder, 'daemon.json'),
      ],
      ...['--init-path', init() ?? '', '--cgroup-parent', `/${basename(folder)}`],
      ...['--exec-opt', 'native.cgroupdriver=cgroupfs', '--bridge=none', '--iptables=false'],
      ...['--ip6tables=false', '--ip-forward=false', '--ip-masq=false'],
    ]
  }

  async #log(): Promise<string> {
    return (await readFile(join(this.#folder, 'log'), 'utf8')).split('\n').slice(-20).join('\n')
  }
}

function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null
}

async function children({ pid }: ChildProcess): Promise<number[]> {
  const list = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8')
  return list
    .split(' ')
    .filter((each) => each !== '')
    .map(Number)
}

/** cgroup v1 has a tree for each controller, v2 one for all. */
function cgroupsOf(parent: string): string[] {
  const trees = ['', ...readdirSync(CGROUPS)].map((tree) => join(CGROUPS, tree, parent))
  return trees.filter((tree) => existsSync(tree))
}

/** What is paused cannot be killed. */
function thawCgroups(parent: string): void {
  const script = 'case $1 in *.state) echo THAWED;; *) echo 0;; esac >"$1"'
  for (const tree of cgroupsOf(parent))
    for (const name of ['freezer.state', 'cgroup.freeze'])
      spawnSync('find', [tree, '-name', name, '-exec', 'sh', '-c', script, 'sh', '{}', ';'])
}

/** Those of the engine's containers stay behind when it is killed, and are busy until the kernel has let go of them. */
async function removeCgroups(parent: string): Promise<void> {
  for (const tree of cgroupsOf(parent))
    for (let attempt = 1; ; attempt++) {
      const { status, stderr } = spawnSync('find', [tree, '-depth', '-type', 'd', '-delete'], {
        encoding: 'utf8',
      })
      if (status === 0) break
      if (attempt === REMOVALS) throw new Error(`The cgroups of an engine cannot be removed: ${stderr}`)
      await sleep(PAUSE_MS)
    }
}
