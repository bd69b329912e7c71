import { defineConfig } from 'tsup'

export default defineConfig({
  entry: { index: 'src/index.ts' },
  format: 'esm',
  target: 'node20.19',
  sourcemap: true,
  clean: true,
  dts: true,
})
