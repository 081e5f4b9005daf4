/**
 * Families in turn (RFC 8305 §4), beginning with `first`, or with that of the first item; each in
 * its own order.
 */
export function alternatingFamilies<T>(
  items: readonly T[],
  familyOf: (item: T) => number,
  first?: number,
): T[] {
  const [head] = items;
  if (head === undefined) return [];
  const family = first ?? familyOf(head);
  const own = items.filter((item) => familyOf(item) === family);
  const other = items.filter((item) => familyOf(item) !== family);
  const mixed = own.flatMap((each, index) => [each, ...other.slice(index, index + 1)]);
  return [...mixed, ...other.slice(own.length)];
}
