import { captureContract } from './capture-contract.ts'

captureContract('embedded')
