export { type DialNativeOptions, dialNativeLane } from './dial-lane.ts';
export { type LaneResources, laneResources } from './lane-resources.ts';
export { listenNativeLanes, nativeTlsTransport } from './native-transport.ts';
