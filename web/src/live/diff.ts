// Where two texts differ, word by word: the longest common sequence of words, by the classic table.
export interface Piece {
  text: string;
  same: boolean;
}

const MOST = 1500; // words of each; longer texts are compared up to there

const wordsOf = (text: string) => (text.match(/\s*\S+/g) ?? []).slice(0, MOST);

function add(out: Piece[], text: string, same: boolean): void {
  const last = out[out.length - 1];
  if (last?.same === same) last.text += text;
  else out.push({ text, same });
}

export function diff(a: string, b: string): [Piece[], Piece[]] {
  const x = wordsOf(a);
  const y = wordsOf(b);
  const width = y.length + 1;
  const common = new Uint16Array((x.length + 1) * width); // of x[i..] and y[k..]
  for (let i = x.length - 1; i >= 0; i--)
    for (let k = y.length - 1; k >= 0; k--)
      common[i * width + k] = x[i]!.trim() === y[k]!.trim() ? common[(i + 1) * width + k + 1]! + 1 : Math.max(common[(i + 1) * width + k]!, common[i * width + k + 1]!);
  const left: Piece[] = [];
  const right: Piece[] = [];
  let i = 0;
  let k = 0;
  while (i < x.length || k < y.length) {
    if (i < x.length && k < y.length && x[i]!.trim() === y[k]!.trim()) {
      add(left, x[i++]!, true);
      add(right, y[k++]!, true);
    } else if (k >= y.length || (i < x.length && common[(i + 1) * width + k]! >= common[i * width + k + 1]!)) add(left, x[i++]!, false);
    else add(right, y[k++]!, false);
  }
  return [left, right];
}
