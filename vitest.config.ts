import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'

const from = (path: string) => fileURLToPath(new URL(path, import.meta.url))

export default defineConfig({
  resolve: {
    alias: [
      { find: /^@tenantbox\/(core|workspace|telegram)$/, replacement: from('./packages/$1/src/index.ts') },
      {
        find: /^@tenantbox\/core\/(docker|process|testing)$/,
        replacement: from('./packages/core/src/$1/index.ts'),
      },
      { find: '@tenantbox/telegram/testing', replacement: from('./packages/telegram/src/testing/index.ts') },
    ],
  },
  test: {
    include: ['packages/*/test/**/*.test.ts', 'examples/*/test/**/*.test.ts'],
    testTimeout: 30_000,
    hookTimeout: 60_000,
    retry: 0,
  },
})
