// Bytes as a person reads them, in powers of ten as disks and `irori plan` count them.
export function bytes(n: number, language: string): string {
  const [by, unit] = n >= 1e9 ? [1e9, "GB"] : n >= 1e6 ? [1e6, "MB"] : [1e3, "KB"];
  return `${(n / by).toLocaleString(language, { maximumFractionDigits: by === 1e9 ? 1 : 0 })} ${unit}`;
}
