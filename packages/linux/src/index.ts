/**
 * The native transport for links on Linux. docs/LINK.md says how a link is given it.
 *
 * @module @routy/linux
 */
export { loadNativeTransport, type NativeTransportLoaded } from './lanes/index.ts';
