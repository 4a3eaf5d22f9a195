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
