import { badRequest } from '../api-error.js'
import type { Params } from '../http/params.js'
import { detectEntities } from './detect.js'
import { type FormattedText, type MentionedUsers, readEntities } from './entities.js'
import { parseHtml } from './html.js'
import { parseMarkdown } from './markdown.js'
import { parseMarkdownV2 } from './markdown-v2.js'
import { byPosition } from './order.js'
import { tidy } from './tidy.js'

type Parser = (text: string, users: MentionedUsers) => FormattedText

const PARSERS: Readonly<Record<string, Parser>> = {
  html: parseHtml,
  markdown: parseMarkdown,
  markdownv2: parseMarkdownV2,
}

/** What Telegram makes of `text` (or `caption`), `parse_mode` and `entities` of a call. */
export function formattedText(
  params: Params,
  names: { text: string; entities: string },
  users: MentionedUsers,
): FormattedText {
  const text = params.string(names.text) ?? ''
  return withDetected(tidy(parsed(text, params, names.entities, users)))
}

/** Adds what Telegram finds by itself: commands, mentions, hashtags, addresses. */
export function withDetected({ text, entities }: FormattedText): FormattedText {
  const free = detectEntities(text).filter((found) =>
    entities.every(
      (entity) =>
        entity.offset + entity.length <= found.offset || found.offset + found.length <= entity.offset,
    ),
  )
  return { text, entities: [...entities, ...free].sort(byPosition) }
}

function parsed(text: string, params: Params, entities: string, users: MentionedUsers): FormattedText {
  const mode = params.string('parse_mode')?.toLowerCase() ?? ''
  if (mode === '' || mode === 'none')
    return { text, entities: readEntities(text, params.array(entities, 'entities'), users) }
  const parse = PARSERS[mode]
  if (!parse) throw badRequest('unsupported parse_mode')
  return parse(text, users)
}
