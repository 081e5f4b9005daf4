/** The longest path that a socket can have on Linux, in bytes; macOS and the BSDs take 103. */
const BYTES_MAX = process.platform === 'linux' ? 107 : 103;

/**
 * Why a unix socket cannot have that path; undefined when it can. The system would cut one that is too
 * long, and make a socket by another name.
 */
export function unixPathFault(path: unknown): string | undefined {
  if (typeof path !== 'string' || !path.startsWith('/')) return 'the path is not absolute';
  if (path.includes('\0')) return 'the path has a zero byte';
  const bytes = Buffer.byteLength(path);
  return bytes > BYTES_MAX ? `the path has ${bytes} bytes, at most ${BYTES_MAX}` : undefined;
}
