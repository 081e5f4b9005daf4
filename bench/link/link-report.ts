/** The section `link` as a table for a terminal. */
import { LIBRARIES } from './library.ts';
import { type LinkFigure, type LinkResults, OTHERS } from './link-results.ts';

const LABEL_WIDTH = 34;
const COLUMN_WIDTH = 14;

export function linkReport(link: LinkResults | null): string[] {
  if (link === null) return [];
  const figures = Object.values(link.figures);
  return [
    '',
    `The link library beside others, medians of ${link.rounds} rounds`,
    line('', LIBRARIES),
    ...figures.map(({ what, of }) =>
      line(
        what,
        LIBRARIES.map((name) => text(of[name])),
      ),
    ),
    '',
    'Its ratios to them, over node:tls and over the native transport',
    line('', OTHERS),
    ...figures.map(ratios),
  ];
}

function ratios({ what, ratio, ratioNative }: LinkFigure): string {
  return line(
    what,
    OTHERS.map((name) => `${text(ratio[name])} ${text(ratioNative[name]).padStart(6)}`),
  );
}

function line(label: string, cells: readonly string[]): string {
  return [label.padEnd(LABEL_WIDTH), ...cells.map((cell) => cell.padStart(COLUMN_WIDTH))].join('');
}

function text(figure: number | null | undefined): string {
  return figure == null ? '-' : String(Number(figure.toPrecision(3)));
}
