import type Docker from 'dockerode'
import { describe, expect, it } from 'vitest'
import { useIsolation } from './isolation.js'

/** What the engine says of a box with default options, and of itself. */
interface Seen {
  readonly box: Docker.ContainerInspectInfo
  readonly info: {
    readonly SecurityOptions?: readonly string[]
  }
}

/** The checks of section 5 that can be made of a container, numbered as in version 1.6.0 of the benchmark. */
const CHECKS: Readonly<Record<string, (seen: Seen) => void>> = {
  '5.1 it is no service of a swarm': ({ box }) =>
    expect(Object.keys(box.Config.Labels).filter((label) => label.startsWith('com.docker.swarm'))).toEqual(
      [],
    ),
  '5.2 the AppArmor profile is the engine’s, where there is one': ({ box, info }) => {
    const enabled = info.SecurityOptions?.some((option) => option.includes('apparmor'))
    expect(box.AppArmorProfile).toBe(enabled ? 'docker-default' : '')
  },
  '5.3 SELinux is not switched off': ({ box }) =>
    expect(box.HostConfig.SecurityOpt?.filter((option: string) => option.startsWith('label'))).toEqual([]),
  '5.4 capabilities are restricted': ({ box }) => {
    expect(box.HostConfig.CapDrop).toEqual(['ALL'])
    expect(box.HostConfig.CapAdd).toBeNull()
  },
  '5.5 it is not privileged': ({ box }) => expect(box.HostConfig.Privileged).toBe(false),
  '5.6 no folder of the host’s own is mounted': ({ box }) => {
    for (const { Source } of box.Mounts) expect(Source).not.toMatch(/^\/(boot|dev|etc|lib|proc|sys|usr|$)/)
  },
  '5.8 no privileged port is published': ({ box }) => expect(box.HostConfig.PortBindings ?? {}).toEqual({}),
  '5.9 no port is published': ({ box }) => {
    expect(box.HostConfig.PublishAllPorts).toBe(false)
    expect(box.NetworkSettings.Ports ?? {}).toEqual({})
  },
  '5.10 the network is not the host’s': ({ box }) => expect(box.HostConfig.NetworkMode).toBe('none'),
  '5.11 memory is limited': ({ box }) => expect(box.HostConfig.Memory).toBe(512 * 1024 ** 2),
  '5.12 CPU is limited': ({ box }) => expect(box.HostConfig.NanoCpus).toBe(1e9),
  '5.13 the root filesystem is read-only': ({ box }) => expect(box.HostConfig.ReadonlyRootfs).toBe(true),
  '5.15 it is not restarted by the engine': ({ box }) =>
    expect(box.HostConfig.RestartPolicy?.Name).toBe('no'),
  '5.16 the processes are its own': ({ box }) => expect(box.HostConfig.PidMode).toBe(''),
  '5.17 the IPC namespace is its own': ({ box }) => expect(box.HostConfig.IpcMode).toBe('private'),
  '5.18 no device is handed in': ({ box }) => expect(box.HostConfig.Devices ?? []).toEqual([]),
  '5.19 limits of open files and core dumps are set': ({ box }) =>
    expect(box.HostConfig.Ulimits?.map(({ Name }) => Name)).toEqual(['nofile', 'core']),
  '5.20 no mount is shared': ({ box }) => {
    for (const { Type, Propagation } of box.Mounts)
      expect(Propagation).toBe(Type === 'bind' ? 'rprivate' : '')
  },
  '5.21 the host name is its own': ({ box }) => expect(box.HostConfig.UTSMode).toBe(''),
  '5.22 seccomp is on, by a profile of its own': ({ box }) => {
    const profile = box.HostConfig.SecurityOpt?.find((option: string) => option.startsWith('seccomp='))
    expect(profile).toContain('"defaultAction":"SCMP_ACT_ERRNO"')
  },
  '5.25 the cgroup is the engine’s default': ({ box }) => expect(box.HostConfig.CgroupParent).toBe(''),
  '5.26 it gains no privileges': ({ box }) =>
    expect(box.HostConfig.SecurityOpt).toContain('no-new-privileges'),
  '5.29 processes are limited': ({ box }) => expect(box.HostConfig.PidsLimit).toBe(256),
  '5.30 it is not on docker0': ({ box }) =>
    expect(Object.keys(box.NetworkSettings.Networks)).not.toContain('bridge'),
  '5.31 the user namespace is not the host’s by order': ({ box }) =>
    expect(box.HostConfig.UsernsMode).toBe(''),
  '5.32 the engine’s socket is not mounted': ({ box }) => {
    for (const { Source, Destination } of box.Mounts)
      expect(`${Source} ${Destination}`).not.toMatch(/docker\.sock|containerd/)
  },
}

describe('CIS Docker Benchmark, section 5, with default options', () => {
  const world = useIsolation()

  it.each(Object.entries(CHECKS))('%s', async (_, check) => {
    const { engine, name } = world()
    check({ box: await engine.getContainer(`tbx-${name}-mallory`).inspect(), info: await engine.info() })
  })

  it('5.23, 5.24 a command is run neither privileged nor as root', async () => {
    const { engine, name, pool } = world()
    await pool.use('mallory', async (box) => {
      const child = await box.spawn(['/bin/sh', '-c', 'cat'])
      const { ExecIDs } = await engine.getContainer(`tbx-${name}-mallory`).inspect()
      const seen = await engine.getExec(ExecIDs?.[0] ?? '').inspect()
      expect(seen.ProcessConfig).toMatchObject({ privileged: false })
      child.stdin.end()
      await child.exited
    })
    expect(await world().mallory.shell('id -u')).not.toBe('0')
  })

  it('5.27 its health is the pool’s to check, not the engine’s', async () => {
    const { engine, name } = world()
    const { Config } = await engine.getContainer(`tbx-${name}-mallory`).inspect()
    expect(Config.Healthcheck).toEqual({ Test: ['NONE'] })
  })
})
