import { isWorkspaceError, Workspace } from '../../src/index.js'

/** Says so many things in the session, of all lengths, and archives most of it now and then. Runs on either side. */
export async function speak(folder: string, name: string, count: number): Promise<void> {
  const { session } = await Workspace.open(folder)
  for (let index = 0; index < count; index++) {
    await session.append({
      id: `${name}-${index}`,
      role: 'user',
      content: name.charAt(0).repeat((index * 7919) % 20_000),
    })
    if (index % 50 !== 49) continue
    const [first] = await session.tail(5)
    await session.archive(first?.id ?? '').catch((error: unknown) => {
      // The other side has archived it, or is at it.
      if (!isWorkspaceError(error, 'NOT_FOUND', 'BUSY')) throw error
    })
  }
}
