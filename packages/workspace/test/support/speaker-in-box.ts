import { speak } from './speaker.js'

const [name = '', count = '0'] = process.argv.slice(2)
await speak('/workspace', name, Number(count))
