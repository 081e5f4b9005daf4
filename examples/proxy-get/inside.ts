/** The site that has the values, and can only dial out. See README.md beside this file. */
import { startNode } from '../shared/node.ts';
import { sendValue } from './values.ts';

const USAGE = `examples/proxy-get/inside: serves the files of --data to who asks for them, by their names

It opens a stream towards whoever asks: nobody needs to be able to dial it.`;

const { link, data } = await startNode(USAGE);
link.protocol({
  name: 'get',
  class: 'proxy-get',
  reply: (stream, _peer, key) => sendValue(stream, data, key),
});
console.log('serving');
