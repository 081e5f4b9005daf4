export { type DialNativeOptions, dialNativeLane } from './dial-lane.ts';
export { type LaneResources, laneResources } from './lane-resources.ts';
export { loadNativeTransport, type NativeTransportLoaded } from './load-transport.ts';
export { listenNativeLanes } from './listen-lanes.ts';
