// A gateway in a process of its own, to be killed: bundled and run by kill.test.ts.
import { TenantPool } from '@tenantbox/core'
import { memoryDriver } from '@tenantbox/core/testing'
import { Bot, type Context } from 'grammy'
import { type TenantFlavor, telegram } from '../../src/index.js'

const { DATA_DIR: dataDir = '', API_ROOT: apiRoot = '', TOKEN: token = '' } = process.env

const pool = new TenantPool({
  name: 'test',
  driver: memoryDriver(),
  dataDir,
  box: { image: 'agent:1' },
  lock: 'wait',
})
const bot = new Bot<Context & TenantFlavor>(token, { client: { apiRoot } })
const tg = telegram(bot, { pool, editEvery: 20, maxAttempts: 999 })
bot.on('message', (ctx) => ctx.tenant.answer())
await tg.start()
