import type fc from 'fast-check'
import type { Gateway } from '../gateway.js'
import type { World } from '../world.js'

/** Something that somebody does. What it sets off goes on by itself; nobody waits for it here. */
export class Step implements fc.AsyncCommand<World, World> {
  readonly #name: string
  readonly #act: (world: World) => void | Promise<void>
  readonly #when: (world: World) => boolean

  constructor(
    name: string,
    act: (world: World) => void | Promise<void>,
    when: (world: World) => boolean = () => true,
  ) {
    this.#name = name
    this.#act = act
    this.#when = when
  }

  check(world: World): boolean {
    return this.#when(world)
  }

  async run(_: World, world: World): Promise<void> {
    await this.#act(world)
    world.assertKept()
  }

  /** In the middle of something else. What it shows is looked at after the next step. */
  happen(world: World): void {
    if (this.#when(world)) void this.#act(world)
  }

  toString(): string {
    return this.#name
  }
}

/** A step that needs a process that serves. */
export function served(name: string, act: (gateway: Gateway, world: World) => void | Promise<void>): Step {
  return new Step(
    name,
    (world) => (world.gateway ? act(world.gateway, world) : undefined),
    (world) => world.gateway !== undefined,
  )
}
