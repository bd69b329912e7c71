import { defineConfig } from 'tsup'

export default defineConfig({
  entry: {
    index: 'src/index.ts',
    'testing/index': 'src/testing/index.ts',
  },
  format: 'esm',
  target: 'node20.19',
  splitting: true,
  sourcemap: true,
  clean: true,
  dts: true,
})
