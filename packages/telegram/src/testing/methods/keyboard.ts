import type { InlineKeyboardButton, InlineKeyboardMarkup } from 'grammy/types'
import { badRequest } from '../api-error.js'
import type { Params } from '../http/params.js'
import { isRecord } from '../json.js'

/** In bytes of UTF-8. */
const LONGEST_DATA = 64

/** The inline keyboard of a call. Keyboards of other kinds belong to the user's screen, not to a message. */
export function inlineKeyboard(params: Params): { reply_markup?: InlineKeyboardMarkup } {
  const rows = params.object('reply_markup', 'reply markup')?.inline_keyboard
  if (rows === undefined) return {}
  if (!Array.isArray(rows)) throw cannotParse('Field "inline_keyboard" must be of type Array')
  const keyboard = rows.map((row: unknown) => {
    if (!Array.isArray(row)) throw cannotParse('expected an Array of Arrays')
    return row.map(readButton)
  })
  const filled = keyboard.filter((row) => row.length > 0)
  return filled.length === 0 ? {} : { reply_markup: { inline_keyboard: filled } }
}

function readButton(raw: unknown): InlineKeyboardButton {
  if (!isRecord(raw)) throw cannotParse('InlineKeyboardButton must be an Object')
  const { text, callback_data: data, url } = raw
  if (typeof text !== 'string') throw cannotParse('Field "text" must be of type String')
  if (typeof url === 'string') return { text, url }
  if (typeof data !== 'string') throw cannotParse('Text buttons are unallowed in the inline keyboard')
  if (data === '' || Buffer.byteLength(data) > LONGEST_DATA) throw badRequest('BUTTON_DATA_INVALID')
  return { text, callback_data: data }
}

function cannotParse(why: string): Error {
  return badRequest(`can't parse inline keyboard button: ${why}`)
}
