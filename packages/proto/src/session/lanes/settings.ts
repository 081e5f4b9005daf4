type Settings = Readonly<Record<string, string>>;

/**
 * Every shared setting whose values differ, by name: `heartbeat_interval: 5s here, 3s at red/red1`.
 * A setting that only one side has differs too.
 */
export function settingDifferences(here: Settings, there: Settings, peer: string): string[] {
  const names = new Set([...Object.keys(here), ...Object.keys(there)]);
  return [...names]
    .sort()
    .filter((name) => valueIn(here, name) !== valueIn(there, name))
    .map((name) => `${name}: ${valueIn(here, name)} here, ${valueIn(there, name)} at ${peer}`);
}

// The peer's names come from its JSON: `constructor` must not reach the prototype.
function valueIn(settings: Settings, name: string): string {
  return (Object.hasOwn(settings, name) ? settings[name] : undefined) ?? 'not set';
}
