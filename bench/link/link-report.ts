/** The section `link` as a table for a terminal. */
import { LIBRARIES } from './library.ts';
import type { LinkFigure, LinkResults } from './link-results.ts';

const LABEL_WIDTH = 34;
const COLUMN_WIDTH = 10;
const RATIO_WIDTH = 13;

const OTHERS = LIBRARIES.filter((name) => name !== 'routy');

export function linkReport(link: LinkResults | null): string[] {
  if (link === null) return [];
  const names = LIBRARIES.map((name) => name.padStart(COLUMN_WIDTH));
  const ratios = OTHERS.map((name) => `routy/${name}`.padStart(RATIO_WIDTH));
  return [
    '',
    `The link library beside others, medians of ${link.rounds} rounds`,
    [''.padEnd(LABEL_WIDTH), ...names, ...ratios].join(''),
    ...Object.values(link.figures).map(row),
  ];
}

function row({ what, of, ratio }: LinkFigure): string {
  const figures = LIBRARIES.map((name) => cell(of[name], COLUMN_WIDTH));
  const ratios = OTHERS.map((name) => cell(ratio[name], RATIO_WIDTH));
  return [what.padEnd(LABEL_WIDTH), ...figures, ...ratios].join('');
}

function cell(figure: number | null | undefined, width: number): string {
  const text = figure == null ? '-' : String(Number(figure.toPrecision(3)));
  return text.padStart(width);
}
