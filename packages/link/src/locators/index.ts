/**
 * From a logical name to candidates to dial, and from addresses inside to addresses outside.
 *
 * @module @routy/link/locators
 */
export { CANDIDATES_MAX, type Candidate, inFamilyOrder } from './candidate.ts';
export type { Locator, LocatorContext, LocatorOutcome } from './inquiry.ts';
export {
  type LocatorCounts,
  Locators,
  type LocatorsOptions,
  type ResolveOptions,
} from './locators.ts';
export type { LogicalName } from './logical-name.ts';
export { NatMap, type NatRule } from './nat-map.ts';
