/**
 * Reporter of `node --test`: a line for each file as it ends, and what failed, whole, as it happens and
 * again at the end, so that the last lines of a long log say what is wrong, and those of a run that was
 * stopped, too. What the tests print passes through.
 *
 * Shapes of the events: https://nodejs.org/docs/latest-v20.x/api/test.html#class-testsstream
 */
import { relative } from 'node:path';
import { inspect } from 'node:util';

export default async function* report(source) {
  /** The names of the tests under way, one inside the other. */
  const path = [];
  const failures = [];
  const totals = [];
  let result;
  for await (const { type, data } of source) {
    switch (type) {
      case 'test:start':
        path.splice(data.nesting, Infinity, data.name);
        break;
      case 'test:pass':
      case 'test:fail': {
        const file = relative(process.cwd(), data.file ?? data.name);
        if (result !== undefined && result.file !== file) yield lineOf(result);
        if (result?.file !== file) result = { file, passed: 0, failed: 0 };
        if (type === 'test:pass') {
          result.passed += 1;
        } else if (isFailureOfItsOwn(data)) {
          result.failed += 1;
          const names = path.slice(0, data.nesting).concat(data.name);
          const failure = failureText(file, names.join(' > '), data.details);
          failures.push(failure);
          yield `failed: ${failure}\n`;
        }
        break;
      }
      case 'test:diagnostic':
        if (data.file === undefined) totals.push(data.message);
        else yield `# ${data.message}\n`;
        break;
      case 'test:stdout':
      case 'test:stderr':
        yield data.message;
        break;
    }
  }
  if (result !== undefined) yield lineOf(result);
  yield `\n${totals.join(', ')}\n`;
  for (const [index, failure] of failures.entries()) {
    yield `\nfailure ${index + 1} of ${failures.length}: ${failure}\n`;
  }
}

function lineOf({ file, passed, failed }) {
  if (failed === 0) return `ok ${file}: ${passed}\n`;
  return `NOT OK ${file}: ${failed} failed, ${passed} passed\n`;
}

/** False where only tests inside of this one failed, which are told themselves, or one still to be done. */
function isFailureOfItsOwn({ details, todo }) {
  return todo === undefined && details.error.failureType !== 'subtestsFailed';
}

function failureText(file, name, { error, duration_ms }) {
  const { exitCode, signal } = error;
  const end = exitCode === undefined ? '' : `, exit code ${exitCode}, signal ${signal}`;
  const what = inspect(error.cause ?? error);
  return `${name}\n  ${file}, after ${Math.round(duration_ms)} ms${end}\n${what}`;
}
