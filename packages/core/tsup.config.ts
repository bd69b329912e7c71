import { defineConfig } from 'tsup'

export default defineConfig({
  entry: {
    index: 'src/index.ts',
    'docker/index': 'src/docker/index.ts',
    'process/index': 'src/process/index.ts',
    'testing/index': 'src/testing/index.ts',
  },
  format: 'esm',
  target: 'node20.19',
  splitting: true,
  sourcemap: true,
  clean: true,
  dts: true,
})
