/** The attacker, in a process of its own: told over node's IPC channel what to do and how long. */
import { runAttack } from './behaviours/attack.ts';
import { Attacker, type AttackerOptions } from './attacker.ts';
import { BEHAVIOURS } from './behaviours/behaviours.ts';

export interface AttackOrder {
  readonly name: string;
  readonly seconds: number;
}

let attacker: Attacker | undefined;

process.on('message', (order: AttackerOptions | AttackOrder) => {
  if ('papers' in order) attacker = new Attacker(order);
  else void attack(order);
});
process.on('disconnect', () => process.exit(0));
// What a connection of the attacker comes to is no matter of the attacker's process.
process.on('uncaughtException', () => {});

async function attack({ name, seconds }: AttackOrder): Promise<void> {
  const behaviour = BEHAVIOURS.find((each) => each.name === name);
  if (attacker === undefined || behaviour === undefined) throw new Error(`no behaviour ${name}`);
  process.send?.(await runAttack(behaviour, attacker, seconds));
}
