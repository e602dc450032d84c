import { describeLongVectors } from './long-vectors-contract.ts'

describeLongVectors('embedded')
