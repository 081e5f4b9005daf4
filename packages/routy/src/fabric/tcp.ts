/** The protocol of forwarded connections, as this node speaks it: their bytes, half-close and reset. */
export const TCP = { protocol: 'tcp', versions: [1], capabilities: [] } as const;
