// What Node offers to every program, untyped: the compiler's own library knows none of it.
declare var console: any, process: any, require: any, module: any, exports: any, Buffer: any;
declare var __dirname: string, __filename: string, global: any, performance: any, URL: any;
declare var TextEncoder: any, TextDecoder: any, queueMicrotask: any, structuredClone: any;
declare var URLSearchParams: any, AbortController: any, fetch: any, crypto: any;
declare function setTimeout(call: (...values: any[]) => any, delay?: number, ...values: any[]): any;
declare function setInterval(call: (...values: any[]) => any, delay?: number, ...values: any[]): any;
declare function setImmediate(call: (...values: any[]) => any, ...values: any[]): any;
declare function clearTimeout(timer: any): void;
declare function clearInterval(timer: any): void;
declare function clearImmediate(timer: any): void;
declare namespace NodeJS { type Timeout = any; type Timer = any; }
declare module "*";
// What Node 20 has of ES2023 and compilers before 5.0 do not know.
interface Array<T> {
  findLast(test: (value: T, index: number, all: T[]) => unknown): T | undefined;
  findLastIndex(test: (value: T, index: number, all: T[]) => unknown): number;
  toReversed(): T[];
  toSorted(compare?: (a: T, b: T) => number): T[];
  toSpliced(start: number, remove?: number, ...items: T[]): T[];
  with(index: number, value: T): T[];
}
interface ReadonlyArray<T> {
  findLast(test: (value: T, index: number, all: readonly T[]) => unknown): T | undefined;
  findLastIndex(test: (value: T, index: number, all: readonly T[]) => unknown): number;
  toReversed(): T[];
  toSorted(compare?: (a: T, b: T) => number): T[];
  with(index: number, value: T): T[];
}
