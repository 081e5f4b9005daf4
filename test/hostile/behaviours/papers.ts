import { testCa, testCredentials } from '../../support/certificates.ts';

/** A certificate that looks like one of the fabric's, signed by somebody else. */
export async function selfSigned(name: string) {
  const ca = await testCa('fabric1', { name: `CA of ${name}` });
  return testCredentials(ca, { site: 'red', node: `red-${name}` });
}
