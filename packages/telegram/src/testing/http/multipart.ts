import { Busboy } from '@fastify/busboy'
import { badRequest } from '../api-error.js'
import type { Upload } from './params.js'

export interface Form {
  readonly values: Record<string, string>
  readonly uploads: Map<string, Upload>
}

/** Takes a `multipart/form-data` body apart. */
export function parseMultipart(contentType: string, body: Uint8Array): Promise<Form> {
  return new Promise((resolve, reject) => {
    const refuse = () => reject(badRequest("can't parse multipart/form-data"))
    if (!contentType.includes('boundary=')) return refuse()
    const form: Form = { values: {}, uploads: new Map() }
    const parser = new Busboy({
      headers: { 'content-type': contentType },
      limits: { fieldSize: body.length },
    })
    parser.on('field', (name, value) => {
      form.values[name] = value
    })
    parser.on('file', (field, stream, name, _encoding, type) => {
      const chunks: Buffer[] = []
      stream.on('data', (chunk: Buffer) => chunks.push(chunk))
      stream.on('end', () => form.uploads.set(field, { name, type, bytes: Buffer.concat(chunks) }))
      stream.on('error', refuse)
    })
    parser.on('error', refuse)
    parser.on('finish', () => resolve(form))
    parser.end(body)
  })
}
