/** Someone who chats on the page. */
export interface PageUser {
  readonly name: string
  /** The id of the private chat, and of the user. */
  readonly chat: number
  /** Whose box is shown beside the chat. */
  readonly tenant: string
}
