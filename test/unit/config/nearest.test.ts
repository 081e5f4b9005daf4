import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  didYouMean,
  editDistance,
  nearestName,
} from '../../../packages/routy/src/config/toml/nearest.ts';

test('the distance counts inserted, deleted, replaced and swapped letters', () => {
  const cases: [string, string, number][] = [
    ['target', 'target', 0],
    ['tagret', 'target', 1],
    ['targt', 'target', 1],
    ['ttarget', 'target', 1],
    ['terget', 'target', 1],
    ['', 'abc', 3],
    ['abc', '', 3],
    ['kitten', 'sitting', 3],
  ];
  for (const [a, b, distance] of cases) assert.equal(editDistance(a, b), distance, `${a} ${b}`);
});

test('the nearest name is offered, a far one is not', () => {
  const names = ['target', 'allow', 'proxy_protocol', 'connect_timeout'];
  assert.equal(nearestName('tagret', names), 'target');
  assert.equal(nearestName('Target', names), 'target');
  assert.equal(nearestName('conect_timout', names), 'connect_timeout');
  assert.equal(nearestName('colour', names), undefined);
  assert.equal(nearestName('x', []), undefined);
});

test('the beginning of exactly one name is enough', () => {
  assert.equal(nearestName('proxy', ['proxy_protocol', 'allow']), 'proxy_protocol');
  assert.equal(nearestName('heartbeat', ['heartbeat_interval', 'heartbeat_misses']), undefined);
});

test('the question is asked only with an answer', () => {
  assert.equal(didYouMean('grey', ['gray']), '; did you mean "gray"?');
  assert.equal(didYouMean('grey', ['blue']), '');
});
