import { readFileSync } from 'node:fs';
import { RoutyError } from '@routy/proto/base';

/** What only the demo needs; development dependencies, so an installed routy may lack them. */
export const DEMO_PACKAGES = ['@electric-sql/pglite', '@electric-sql/pglite-socket', 'pg'];

/**
 * Fails when the embedded databases are not installed.
 *
 * @throws RoutyError `demo-not-installed`, whose hint is the command that installs them
 */
export function requireDemoPackages(): void {
  const missing = DEMO_PACKAGES.filter((name) => !isInstalled(name));
  if (missing.length === 0) return;
  const text = readFileSync(new URL('../../../package.json', import.meta.url), 'utf8');
  const { devDependencies } = JSON.parse(text) as { devDependencies: Record<string, string> };
  const wanted = missing.map((name) => `${name}@${devDependencies[name]}`).join(' ');
  throw new RoutyError(
    'demo-not-installed',
    `the demo needs packages that routy itself does not: ${missing.join(', ')}`,
    {
      hint: `npm install ${wanted}, with --global when routy is installed so; or run "npm run demo" in a clone of the repository`,
    },
  );
}

function isInstalled(name: string): boolean {
  try {
    import.meta.resolve(name);
    return true;
  } catch {
    return false;
  }
}
