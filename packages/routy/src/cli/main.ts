#!/usr/bin/env node
import { guardSignals } from './signals.ts';

const argv = process.argv.slice(2);
guardSignals(argv);
// Not before: reading the rest of the program takes long enough for a signal to come.
const { run } = await import('./program.ts');
process.exitCode = await run(argv);
