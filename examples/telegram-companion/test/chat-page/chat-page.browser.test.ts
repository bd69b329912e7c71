import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { launchChromium } from './chromium.js'
import { openPage } from './support.js'

let browser: Browser

beforeAll(async () => {
  browser = await launchChromium()
})

afterAll(() => browser?.close())

async function inBrowser(options: Parameters<Browser['newPage']>[0] = {}) {
  const opened = await openPage()
  const page = await browser.newPage(options)
  onTestFinished(() => page.close())
  const troubles: string[] = []
  page.on('pageerror', (error) => troubles.push(error.message))
  page.on('console', (message) => message.type() === 'error' && troubles.push(message.text()))
  await page.goto(opened.url)
  return { ...opened, browserPage: page, troubles, anna: panel(page, 'Anna'), ben: panel(page, 'Ben') }
}

function panel(page: Page, name: string) {
  const region = page.getByRole('region', { name, exact: true })
  return {
    region,
    log: region.getByRole('log'),
    box: region.getByRole('status'),
    async say(text: string) {
      await region.getByLabel(`Message as ${name}`).fill(text)
      await region.getByRole('button', { name: 'Send' }).click()
    },
  }
}

test('two users chat side by side, each with their own', async () => {
  const { anna, api, ben, server, troubles } = await inBrowser()
  await anna.say('hi, I am Anna')
  await server.chat(1).until(({ messages }) => messages.length === 1)
  await api('sendMessage', { chat_id: 1, text: 'hello *Anna*', parse_mode: 'MarkdownV2' })
  await anna.log.getByText('hello Anna').waitFor()
  expect(await anna.log.locator('strong').textContent()).toBe('Anna')
  await ben.say('hi, I am Ben')
  await ben.log.getByText('hi, I am Ben').waitFor()
  expect(await ben.log.getByText('Anna').count()).toBe(0)
  expect(troubles).toEqual([])
})

test('says what to try, until something is said', async () => {
  const { anna, ben } = await inBrowser()
  await anna.log.getByText('Try “remember').waitFor()
  await anna.say('hi')
  await anna.log.getByText('Try “remember').waitFor({ state: 'hidden' })
  expect(await ben.log.getByText('Try “remember').isVisible()).toBe(true)
})

test('answers grow before the eyes: drafts and edits', async () => {
  const { anna, api } = await inBrowser()
  await api('sendMessageDraft', { chat_id: 1, draft_id: 1, text: 'Let me th' })
  await anna.log.getByText('Let me th').waitFor()
  const { message_id } = await api('sendMessage', { chat_id: 1, text: 'Let me think' })
  await anna.log.getByText('Let me think').waitFor()
  await api('editMessageText', { chat_id: 1, message_id, text: 'I know.' })
  await anna.log.getByText('I know.').waitFor()
  await anna.log.getByText('edited').waitFor()
  expect(await anna.log.locator('.message').count()).toBe(1)
})

test('buttons reach the bot', async () => {
  const { anna, api, server } = await inBrowser()
  const reply_markup = { inline_keyboard: [[{ text: 'Forget it', callback_data: 'forget' }]] }
  await api('sendMessage', { chat_id: 1, text: 'Sure?', reply_markup })
  await anna.log.getByRole('button', { name: 'Forget it' }).click()
  const update = await server.until(({ pendingUpdates }) => pendingUpdates[0])
  expect(update.callback_query).toMatchObject({ data: 'forget', from: { first_name: 'Anna' } })
})

test('the boxes’ states are seen live', async () => {
  const { anna, ben, pool } = await inBrowser()
  await anna.box.getByText('box: absent').waitFor()
  await pool.ensure('anna')
  await anna.box.getByText('box: running').waitFor()
  await pool.pause('anna')
  await anna.box.getByText('box: paused').waitFor()
  expect(await ben.box.textContent()).toBe('box: absent')
})

test('no text becomes markup, and no link a script', async () => {
  const { anna, api, browserPage, server, troubles } = await inBrowser()
  const attack = '<img src=x onerror="document.title=1"><script>document.title=2</script>'
  await anna.say(attack)
  await server.chat(1).until(({ messages }) => messages.length === 1)
  await api('sendMessage', { chat_id: 1, text: attack })
  const entities = [{ type: 'text_link', offset: 0, length: 5, url: 'tg://x' }]
  await api('sendMessage', { chat_id: 1, text: 'click', entities })
  await anna.log.getByText('click').waitFor()
  expect(await anna.log.getByText(attack).count()).toBe(2)
  expect(await anna.log.locator('img, script, a').count()).toBe(0)
  expect(await browserPage.title()).toBe('TenantBox companion')
  expect(troubles).toEqual([])
})

test('all is there again after a reload', async () => {
  const { anna, api, browserPage } = await inBrowser()
  await api('sendMessage', { chat_id: 1, text: 'still here' })
  await anna.log.getByText('still here').waitFor()
  await browserPage.reload()
  await anna.log.getByText('still here').waitFor()
})

test('fits on a phone', async () => {
  const { anna, api, browserPage } = await inBrowser({ viewport: { width: 360, height: 740 } })
  await api('sendMessage', { chat_id: 1, text: 'a'.repeat(500) })
  await anna.log.getByText('aaa').waitFor()
  const width = await browserPage.evaluate<number>('document.documentElement.scrollWidth')
  expect(width).toBe(360)
})

test('another site that is open in the browser can neither post nor read', async () => {
  const { anna, server, url } = await inBrowser()
  const evil = createServer((_, response) => {
    response.setHeader('content-type', 'text/html').end('<title>evil</title>')
  })
  await new Promise<void>((resolve) => evil.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    evil.closeAllConnections()
    evil.close()
  })
  const page = await browser.newPage()
  onTestFinished(() => page.close())
  await page.goto(`http://localhost:${(evil.address() as AddressInfo).port}/`)
  const outcomes = await page.evaluate(async (target) => {
    const body = JSON.stringify({ type: 'message', chat: 1, text: 'from evil' })
    const tries = [
      fetch(`${target}post`, { method: 'POST', mode: 'no-cors', body }),
      fetch(`${target}post`, { method: 'POST', headers: { 'content-type': 'application/json' }, body }),
      fetch(`${target}events`),
    ]
    return (await Promise.allSettled(tries)).map((one) =>
      one.status === 'fulfilled' ? one.value.type : 'refused',
    )
  }, url)
  expect(outcomes).toEqual(['opaque', 'refused', 'refused'])
  await anna.say('from Anna')
  await anna.log.getByText('from Anna').waitFor()
  expect(server.chat(1).messages.map(({ text }) => text)).toEqual(['from Anna'])
})
