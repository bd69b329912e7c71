/** What the agent sends. */
interface Prompt {
  question: string
  notes: string
}

const KEY = process.env.MODEL_KEY ?? 'a key that never leaves the gateway'

/** What the gateway does for an agent that asks: it calls the model with its own key, and streams what comes back. */
export async function askModel(request: Request): Promise<Response> {
  const words = hostedModel(KEY, (await request.json()) as Prompt)
  return new Response(ReadableStream.from(words).pipeThrough(new TextEncoderStream()))
}

/** Stands for a model of some provider. */
function* hostedModel(key: string, { question, notes }: Prompt): Generator<string> {
  if (key === '') throw new Error('The model needs a key.')
  yield* `You asked "${question}", and this is all I know of you: ${notes.trim()}`.split(/(?<= )/)
}
