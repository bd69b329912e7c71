import { readdirSync } from 'node:fs'
import { defineConfig } from 'tsup'

export default defineConfig({
  entry: readdirSync('src').map((file) => `src/${file}`),
  format: 'esm',
  target: 'node20.19',
  clean: true,
  dts: false,
})
