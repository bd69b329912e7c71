import { defineConfig } from 'tsup'

const common = { format: 'esm', target: 'node20.19', clean: true } as const

export default defineConfig([
  { ...common, entry: { main: 'src/gateway/main.ts' }, outDir: 'dist/gateway' },
  { ...common, entry: { main: 'src/demo/main.ts' }, outDir: 'dist/demo' },
  // One file, all that it needs within: it is mounted or copied into an image that has Node and nothing else.
  {
    ...common,
    entry: { agent: 'src/agent/main.ts' },
    outDir: 'dist/agent',
    noExternal: [/.*/],
    outExtension: () => ({ js: '.mjs' }),
  },
])
