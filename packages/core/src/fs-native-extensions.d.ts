declare module 'fs-native-extensions' {
  /** Takes an exclusive open-file-description lock on the whole file; false when another holds it. */
  export function tryLock(fd: number): boolean
}
